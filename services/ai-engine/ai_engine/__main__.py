"""`python -m ai_engine`: reads the configuration, serves until SIGTERM, exits 0.

A port that is taken, or a configuration that is wrong, exits 1 with one log line. A database that is down is no reason
not to start: /readyz says so, and the pool connects when it is back.
"""

import logging
import os
import sys

from vital_ops_kernel.configuration import ConfigurationError
from vital_ops_kernel.logs import configure_logging

log = logging.getLogger("ai_engine")


def main() -> int:
    # What is said about a wrong configuration is said in the form of a log line, too.
    given = [("SERVICE_NAME", "ai-engine"), ("ENVIRONMENT", "dev"), ("SERVICE_VERSION", "unknown")]
    configure_logging(*(os.environ.get(key) or otherwise for key, otherwise in given))

    from ai_engine.config import load

    try:
        config = load()
    except ConfigurationError as error:
        log.critical(str(error))
        return 1
    configure_logging(config.service, config.environment, config.version, config.log_level)

    from ai_engine.server import serve

    return serve(config)


if __name__ == "__main__":
    sys.exit(main())
