"""Images, masks, data folders and made-up images: files to arrays. No torch."""
