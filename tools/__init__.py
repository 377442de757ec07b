"""What the project itself needs beside tests and benchmarks; not part of the package."""
