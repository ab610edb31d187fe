"""The worker's app with a visibility timeout of a second."""

from worker.app import app

app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": 1,
}
