"""Single images: read, written, resampled, registered.  Knows no heads and no benchmark."""
