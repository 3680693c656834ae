"""OCF's resource model: Resources and their Properties, discovery, the core Resources, access."""

from ocf.resource import Property, Resource

__all__ = ("Property", "Resource")
