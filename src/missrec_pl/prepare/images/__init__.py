"""Downloads of items' pictures, with limits for each host; resumable."""
