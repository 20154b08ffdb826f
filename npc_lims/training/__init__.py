"""Training data of all subjects: the workbooks as databases, and the repository of behavior files."""
