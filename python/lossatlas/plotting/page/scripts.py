"""The page's scripts: ES modules in the source, one script in the page, which can load nothing.

A module becomes a function that is called once, after those that it imports; its other names are its own:

    import { clamp } from "./data.js";      const $pen = (() => {
    const ends = [0, 1];                    const { clamp } = $data;
    export const held = (v) => …;           const ends = [0, 1];
                                            const held = (v) => …;
                                            return { held };
                                            })();

So imports and exports have these two forms alone: names in braces from a file beside, and one declaration.
"""

import os
import re

IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:const|class|function) (\w+))", re.MULTILINE)
OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def bundle(folder, entry):
    """The module of that name and all that it imports, as one script. ValueError where they do not fit together."""
    exports, parts = {}, []

    def add(name, users):
        if name in users:
            raise ValueError(f"{name}.js imports itself: {', '.join(users)}")
        with open(os.path.join(folder, f"{name}.js"), encoding="utf-8") as file:
            text = file.read()
        for names, source in IMPORT.findall(text):
            if source not in exports:
                add(source, [*users, name])
            if missing := set(_names(names)) - set(exports[source]):
                raise ValueError(f"{name}.js imports {', '.join(sorted(missing))}, which {source}.js does not export")
        exports[name] = EXPORT.findall(text)
        text = IMPORT.sub(lambda match: f"const {{ {', '.join(_names(match[1]))} }} = ${match[2]};\n", text)
        text = EXPORT.sub("", text)
        if other := OTHER.search(text):
            raise ValueError(f"{name}.js: not a form of import or export that is known: {other[0]}")
        parts.append(f"const ${name} = (() => {{\n{text}return {{ {', '.join(exports[name])} }};\n}})();\n")

    add(entry, [])
    return "(() => {\n\"use strict\";\n" + "\n".join(parts) + "})();\n"


def _names(text):
    return [name.strip() for name in text.split(",") if name.strip()]
