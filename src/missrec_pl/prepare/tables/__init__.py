"""Raw tables as people have them: unpacked, decoded, split into rows and cells once, for every source."""
