"""The source `s3`: folders and files of the buckets."""
