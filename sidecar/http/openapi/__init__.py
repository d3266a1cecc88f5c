"""The description of the HTTP interface: models by subject, the document made of them, and `openapi.json`.

The server reads `openapi.json` alone. The models need pydantic, whose import the server does not pay for.
"""
