"""What ``gkd reproduce`` does: a recipe is run, or the networks of one are counted."""

from gkd.commands.run_recipe import RunOptions, run_recipe
from gkd.errors import ParameterError
from gkd.recipe.file import read_recipe
from gkd.recipe.shipped import counted_tables, reproduction


def reproduce_result(name: str, options: RunOptions) -> None:
    """Reproduce a table or a figure of the paper.

    Raises:
        GkdError: there is no such one, or an option or a setting is wrong.
        typer.Exit: a run was interrupted; how to resume has been printed.
    """
    if reproduction(name) not in counted_tables():
        run_recipe(name, options)
        return
    if options != RunOptions(settings=options.settings):
        raise ParameterError(
            f"{name} is counted, and nothing is trained: of the options, it takes --set alone"
        )
    from gkd.recipe.counted import counted_table

    table = counted_table(name)
    file = read_recipe(table.recipe, options.settings or ())

    from gkd.hosting.host import create_host

    host = create_host().with_code(file.code)
    file.check_components(host, ("model",))

    from gkd.report.counting import count_networks
    from gkd.report.terminal import print_one, wide_console

    counted, differences = count_networks(table, file, host)
    console = wide_console()
    print_one(table.title, counted, console)
    for difference in differences:
        console.print(f"unlike {table.source}: {difference}", markup=False, highlight=False)
