"""The EndpointSlice controller: Services and Pods -> EndpointSlices."""

from fakecluster.controllers.endpointslices.controller import EndpointSliceController

__all__ = ["EndpointSliceController"]
