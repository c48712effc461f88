"""``workstation db``: the schema of the venue's database."""

from __future__ import annotations

import argparse

from storage.migrate import downgrade, downgrade_script, schema_status, upgrade, upgrade_script
from workstation.assembly import database_name, open_database
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_text, print_words
from workstation.locations import Locations
from workstation.practice_venue import venue_id
from workstation.settings import Configuration


async def run_database(configuration: Configuration, locations: Locations, options: argparse.Namespace) -> int:
    """Run one step."""
    if options.step == "upgrade" and options.sql:
        print_text(upgrade_script())
        return ExitCode.DONE
    if options.step == "downgrade" and options.sql:
        print_text(downgrade_script(target=options.target))
        return ExitCode.DONE
    locations.make()
    name = database_name(venue_id(configuration.venue))
    async with open_database(configuration, locations, name) as dsn:
        match options.step:
            case "upgrade":
                status = await upgrade(dsn)
                print_words(f"{name}: {status.state}, revision {status.revision}")
            case "downgrade":
                status = await downgrade(dsn, options.target)
                print_words(f"{name}: {status.state}, revision {status.revision}")
            case _:
                status = await schema_status(dsn)
                if options.json:
                    print_json(
                        {"database": name, "state": status.state, "installed": status.revision, "head": status.head}
                    )
                else:
                    print_text(f"{name}  {status.state}  installed {status.revision}  head {status.head}")
    return ExitCode.DONE
