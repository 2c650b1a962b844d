"""What people look at: charts, the HTML report, the notebook view, the terminal. Computes nothing."""
