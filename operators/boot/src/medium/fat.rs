//! FAT16 with long names (Microsoft's FAT specification 1.03, which UEFI refers to).

use super::{Architecture, CREDENTIAL, LABEL, iso};

const SECTOR: u64 = 512;
/// Entries in the root folder.
const ROOT_ENTRIES: u16 = 512;
const ENTRY: usize = 32;
/// With fewer clusters it would be FAT12, with more FAT32.
const FEWEST: u64 = 4200;
const MOST: u64 = 65_500;
/// Sectors per cluster.
const SIZES: [u8; 5] = [4, 8, 16, 32, 64];
/// Clusters of the three folders and the credential; the UKI comes after them.
const EFI: u16 = 2;
const BOOT: u16 = 3;
const EXTRA: u16 = 4;
const CREDENTIAL_AT: u16 = 5;
const UKI_AT: u16 = 6;
const LAST: u16 = 0xffff;
const FOLDER: u8 = 0x10;
const FILE: u8 = 0x21;
const VOLUME: u8 = 0x08;
const LONG: u8 = 0x0f;
/// 1980-01-01.
const DATE: u16 = 0x21;

/// A file system with `EFI/BOOT/BOOTX64.EFI`, the UKI, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fat {
    architecture: Architecture,
    uki: u64,
    credential: usize,
    /// Sectors per cluster.
    cluster: u8,
    clusters: u64,
}

impl Fat {
    /// `None`, if the UKI does not fit.
    pub(super) fn new(architecture: Architecture, uki: u64, credential: usize) -> Option<Self> {
        let needed = |size: u8| uki.div_ceil(u64::from(size) * SECTOR) + u64::from(UKI_AT - EFI);
        let cluster = SIZES.into_iter().find(|size| needed(*size) <= MOST)?;
        let clusters = needed(cluster).max(FEWEST);
        Some(Self { architecture, uki, credential, cluster, clusters })
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.data_at() + self.clusters * self.cluster_size()
    }

    /// Size of the UKI.
    pub(super) fn uki(&self) -> u64 {
        self.uki
    }

    /// Where the UKI begins.
    pub(super) fn uki_at(&self) -> u64 {
        self.data_at() + u64::from(UKI_AT - EFI) * self.cluster_size()
    }

    /// Everything before the UKI.
    pub(super) fn head(&self, credential: &[u8]) -> Vec<u8> {
        let mut head = vec![0; usize::try_from(self.uki_at()).unwrap_or_default()];
        let mut put = |at: u64, content: &[u8]| {
            let at = usize::try_from(at).unwrap_or_default();
            head[at..at + content.len()].copy_from_slice(content);
        };
        put(0, &self.boot_sector());
        let table = self.table();
        put(u64::from(self.reserved()) * SECTOR, &table);
        put((u64::from(self.reserved()) + u64::from(self.table_sectors())) * SECTOR, &table);
        let mut root = short(*b"BLOOMERY   ", VOLUME, 0, 0).to_vec();
        root.extend(short(*b"EFI        ", FOLDER, EFI, 0));
        put(self.root_at(), &root);
        for (at, folder) in [(EFI, efi()), (BOOT, self.boot()), (EXTRA, self.extra())] {
            put(self.place(at), &folder);
        }
        put(self.place(CREDENTIAL_AT), credential);
        head
    }

    fn cluster_size(&self) -> u64 {
        u64::from(self.cluster) * SECTOR
    }

    /// Sectors of one allocation table.
    fn table_sectors(&self) -> u16 {
        u16::try_from(((self.clusters + 2) * 2).div_ceil(SECTOR)).unwrap_or(u16::MAX)
    }

    /// Sectors before the tables: as many as are needed to align everything after the root folder
    /// with the sectors of a CD.
    fn reserved(&self) -> u16 {
        4 - (2 * self.table_sectors() + root_sectors()) % 4
    }

    fn root_at(&self) -> u64 {
        (u64::from(self.reserved()) + 2 * u64::from(self.table_sectors())) * SECTOR
    }

    fn data_at(&self) -> u64 {
        self.root_at() + u64::from(root_sectors()) * SECTOR
    }

    fn place(&self, cluster: u16) -> u64 {
        self.data_at() + u64::from(cluster - EFI) * self.cluster_size()
    }

    fn boot_sector(&self) -> Vec<u8> {
        let mut sector = vec![0xeb, 0x3c, 0x90];
        sector.extend(b"BLOOMERY");
        sector.extend(512_u16.to_le_bytes());
        sector.push(self.cluster);
        sector.extend(self.reserved().to_le_bytes());
        sector.push(2);
        sector.extend(ROOT_ENTRIES.to_le_bytes());
        let sectors = u32::try_from(self.size() / SECTOR).unwrap_or(u32::MAX);
        let few = u16::try_from(sectors).ok();
        sector.extend(few.unwrap_or_default().to_le_bytes());
        sector.push(0xf8);
        sector.extend(self.table_sectors().to_le_bytes());
        sector.extend([32, 0, 64, 0]);
        sector.extend(u32::try_from(iso::HEAD / SECTOR).unwrap_or_default().to_le_bytes());
        sector.extend(few.map_or(sectors, |_| 0).to_le_bytes());
        sector.extend([0x80, 0, 0x29]);
        sector.extend(0x6200_ce00_u32.to_le_bytes());
        sector.extend(format!("{LABEL:11}").as_bytes());
        sector.extend(b"FAT16   ");
        sector.resize(510, 0);
        sector.extend([0x55, 0xaa]);
        sector
    }

    /// The UKI is one chain, and everything else one cluster each.
    fn table(&self) -> Vec<u8> {
        let mut table = vec![0xfff8, LAST, LAST, LAST, LAST];
        table.push(if self.credential > 0 { LAST } else { 0 });
        let count = self.uki.div_ceil(self.cluster_size());
        let count = u16::try_from(count).unwrap_or_default();
        table.extend((1..count).map(|number| UKI_AT + number));
        table.extend((count > 0).then_some(LAST));
        table.into_iter().flat_map(u16::to_le_bytes).collect()
    }

    fn boot(&self) -> Vec<u8> {
        let uki = u32::try_from(self.uki).unwrap_or(u32::MAX);
        let at = if uki > 0 { UKI_AT } else { 0 };
        let (name, alias) = match self.architecture {
            Architecture::Amd64 => ("BOOTX64", *b"BOOTX64 EFI"),
            Architecture::Arm64 => ("BOOTAA64", *b"BOOTAA64EFI"),
        };
        let extra = long(&format!("{name}.EFI.extra.d"), short(*b"EXTRA   D  ", FOLDER, EXTRA, 0));
        [dots(BOOT, EFI), short(alias, FILE, at, uki).to_vec(), extra].concat()
    }

    fn extra(&self) -> Vec<u8> {
        let folder = dots(EXTRA, BOOT);
        let length = u32::try_from(self.credential).unwrap_or_default();
        if length == 0 {
            return folder;
        }
        let entry = short(*b"IGNITIONCRE", FILE, CREDENTIAL_AT, length);
        [folder, long(&format!("{CREDENTIAL}.cred"), entry)].concat()
    }
}

fn efi() -> Vec<u8> {
    [dots(EFI, 0), short(*b"BOOT       ", FOLDER, BOOT, 0).to_vec()].concat()
}

fn root_sectors() -> u16 {
    ROOT_ENTRIES * 32 / 512
}

fn dots(own: u16, parent: u16) -> Vec<u8> {
    let own = short(*b".          ", FOLDER, own, 0);
    [own, short(*b"..         ", FOLDER, parent, 0)].concat()
}

fn short(name: [u8; 11], attributes: u8, cluster: u16, size: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..11].copy_from_slice(&name);
    entry[11] = attributes;
    for date in [16, 18, 24] {
        entry[date..date + 2].copy_from_slice(&DATE.to_le_bytes());
    }
    entry[26..28].copy_from_slice(&cluster.to_le_bytes());
    entry[28..].copy_from_slice(&size.to_le_bytes());
    entry
}

/// The entries of a long name, last part first, followed by the entry that they belong to.
fn long(name: &str, entry: [u8; ENTRY]) -> Vec<u8> {
    const PLACES: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
    let sum = entry[..11].iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut units: Vec<u16> = name.encode_utf16().collect();
    if !units.len().is_multiple_of(PLACES.len()) {
        units.push(0);
    }
    units.resize(units.len().next_multiple_of(PLACES.len()), 0xffff);
    let parts = units.as_chunks::<13>().0;
    let mut entries = vec![];
    let numbered: Vec<_> = (1_u8..).zip(parts).collect();
    for (number, part) in numbered.into_iter().rev() {
        let is_last = usize::from(number) == parts.len();
        let mut long = [0; ENTRY];
        long[0] = if is_last { number | 0x40 } else { number };
        long[11] = LONG;
        long[13] = sum;
        for (place, unit) in PLACES.into_iter().zip(part) {
            long[place..place + 2].copy_from_slice(&unit.to_le_bytes());
        }
        entries.extend(long);
    }
    entries.extend(entry);
    entries
}
