

if __name__ == "__main__":
    import sys

    print(show(count(sys.stdin.read())))
