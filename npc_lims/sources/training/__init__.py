"""The source `training`: rows of the training workbooks."""
