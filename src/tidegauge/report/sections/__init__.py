"""What each part of a report shows: from ``ReportData`` to the values that templates print."""
