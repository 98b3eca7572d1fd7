"""Behind create, names and the host: finding, checking and recording plugins and components."""
