"""What people look at: charts, HTML report, notebook view, terminal. Computes nothing."""
