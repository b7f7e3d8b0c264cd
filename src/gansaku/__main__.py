import sys

from gansaku.cli import main

sys.exit(main())
