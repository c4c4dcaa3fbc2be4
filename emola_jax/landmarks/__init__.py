"""From a photo to faces: detection, the landmark experts, extraction and audit of landmark files."""
