"""Files and folders: written whole, read with one sentence for what is wrong."""
