"""`minivdit recipes`: the systems of the article as small trainings."""

from ...base.errors import InputError, did_you_mean, shorten


def add_recipes(commands):
    text = """List what large systems added, as small trainings.

    A recipe is the preset quick with the ideas of a system. Each idea is one or more settings, so it can also be tried
    alone, or with any other preset: minivdit train quick --set NAME=VALUE.

    examples:
      minivdit recipes
      minivdit recipes cogvideox       show the settings of each idea
      minivdit train cogvideox         train it in the folder runs/cogvideox
    """
    parser = commands.add(recipes, text)
    parser.add("name", str, "show this recipe (default: list all)", nargs="?", metavar="RECIPE")


def recipes(options):
    from ...base import machine
    from ...training.recipes import BASE, RECIPES, get
    from ..pipeline.forecast import likely_minutes

    speed = machine.cores_speed()

    def about(name):
        return machine.about(likely_minutes(get(name), speed))

    if options.name is None:
        for name, recipe in RECIPES.items():
            print(f"{name:15} {recipe.system}: {', '.join(recipe.ideas)} ({about(name)})")
        print(f"Each is the preset {BASE} and these ideas. Their settings: minivdit recipes RECIPE")
        return
    if options.name not in RECIPES:
        near = did_you_mean(options.name, RECIPES) or f"; choose {', '.join(RECIPES)}"
        raise InputError(f"{shorten(options.name)!r} is not a recipe{near}")
    recipe = RECIPES[options.name]
    print(f"{recipe.system} in small: the preset {BASE} with")
    for idea, settings in recipe.ideas.items():
        print(f"  {idea}")
        for setting in settings:
            print(f"    --set {setting}")
    print(f"train: minivdit train {options.name} ({about(options.name)} on this machine)")
    print(f"draw:  {recipe.draws} --weights runs/{options.name}")
    print(f"judge: minivdit study --recipes {options.name} (each idea against {BASE}, at equal FLOPs)")
