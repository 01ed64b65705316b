"""The open labelling project and its operations: export, import, metrics, training plan."""
