"""What everything else stands on: errors, arrays and devices, files, configurations, the machine, random numbers."""
