"""Tables: what `kubectl get` prints, computed by the server (`pkg/printers/internalversion/printers.go`)."""

from fakecluster.api.tables.table import Table, for_resource

__all__ = ["Table", "for_resource"]
