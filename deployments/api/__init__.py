"""HTTP: from the bytes of a request to a prediction and back, with every mistake answered as a problem document.

The predict route is plain ASGI and msgspec, since a FastAPI route costs more than the rest of the edge together;
everything else (health, the API document, its page) is FastAPI.
"""
