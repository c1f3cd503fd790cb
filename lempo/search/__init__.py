"""Search in an archive: images to an index, a query to ranked images with their scores."""
