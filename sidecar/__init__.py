"""openai-moodle-sidecar: answers a Moodle site's AI requests, in bursts too."""

__version__ = "0.1.0"
