"""Settings and registry as the server would read them, for commands that work offline."""

from smart_router.observe.logs import configure_logs
from smart_router.registry import Registry, default_registry_path, load_registry
from smart_router.settings import Settings, environment, load_settings


def configured() -> tuple[Registry, Settings]:
    """
    Raises:
        ConfigurationError: the environment or the registry is wrong.
    """
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    return load_registry(settings.model_registry or default_registry_path(), environment()), settings
