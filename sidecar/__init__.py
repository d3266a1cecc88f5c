"""openai-moodle-sidecar: answers a Moodle site's AI requests, burst or not."""

__version__ = "0.1.0"
