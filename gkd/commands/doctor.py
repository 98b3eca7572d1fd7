"""What ``gkd doctor`` prints."""

from dataclasses import asdict

from gkd.commands.diagnosis import diagnose
from gkd.commands.listing import plugin_row, print_json, quietly


def show_diagnosis(*, as_json: bool) -> bool:
    """Print what there is, then each problem and hint with what to do; return whether healthy."""
    found = quietly(diagnose)
    if as_json:
        plugins = {"plugins": [plugin_row(record) for record in found.plugins]}
        print_json({"healthy": not found.problems, **asdict(found), **plugins})
        return not found.problems
    versions = {name: version or "not installed" for name, version in found.versions.items()}
    products = [
        f"{device}: {'yes' if has else 'no'}" for device, has in found.sparse_products.items()
    ]
    facts = versions | {
        "platform": found.platform,
        "devices": ", ".join(found.devices),
        "threads": str(found.threads),
        "sparse products": ", ".join(products),
        "plugins": ", ".join(f"{r.source.qualified} {r.state}" for r in found.plugins) or "none",
        **found.variables,
    }
    width = max(map(len, facts))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in facts.items()))
    for heading, advices in (("problem", found.problems), ("hint", found.hints)):
        for advice in advices:
            print(f"\n{heading}: {advice.finding}\n    {advice.action}")
    if not found.problems:
        print("\nhealthy")
    return not found.problems
