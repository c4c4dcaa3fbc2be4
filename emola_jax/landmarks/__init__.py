"""From a photo to faces: detection, landmark experts, extraction and audit of their files."""
