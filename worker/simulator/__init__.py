"""The simulator process: it holds models in memory, and plays them for the API."""
