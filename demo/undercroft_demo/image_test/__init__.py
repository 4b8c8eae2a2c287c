"""What `make image-test` runs: the image that ships, three times in an emulator, doing its whole job."""
