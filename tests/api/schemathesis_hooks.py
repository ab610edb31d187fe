"""How schemathesis writes the bodies of this API that are not JSON."""

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
