"""Infrastructure of runs: ledger, run metadata, locks, atomic writes, parallel work."""
