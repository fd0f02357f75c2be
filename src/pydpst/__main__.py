"""`python -m pydpst`: the command line."""

from pydpst.commands.cli import main

if __name__ == "__main__":
    main()
