"""The face-prior experts: from a photo to faces and landmarks."""
