"""Recommendations over HTTP: FastAPI and uvicorn, the extra ``serve``."""
