"""What a spec says: its sections as models; reading, merging, explaining, writing it; not what it comes to."""
