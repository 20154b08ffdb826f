"""The source `codeocean`: data assets."""
