"""New plugin projects: a small installable one for each kind of component."""

from gkd.scaffold.names import PluginName
from gkd.scaffold.project import new_project

__all__ = ["PluginName", "new_project"]
