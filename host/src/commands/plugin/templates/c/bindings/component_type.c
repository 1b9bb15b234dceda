/* The types of the component are put into the module by `leasehold plugin build`, from wit/job.wit. This stands for
 * the object file with which `wit-bindgen c` would do the same. */

void __component_type_object_force_link_leasehold(void);
void __component_type_object_force_link_leasehold(void) {}
