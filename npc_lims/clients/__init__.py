"""One client for each external system: HTTP, Code Ocean, S3, git, GitHub, PyPI."""
