"""The pages that specc writes, opened in a browser and looked at as people would."""
