"""`python -m streams.cli`, for where the console script isn't on the path."""

from streams.cli import main

if __name__ == "__main__":
    main()
